"""Second policy evaluator: prints ministack's decision for each request on stdin, one JSON object per line."""

import json
import sys

from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy

WORDS = {"ImplicitDeny": "Nothing"}

for line in sys.stdin:
    asked = json.loads(line)
    keys = {key.lower(): value for key, value in asked["keys"].items()}
    context = EvalContext(
        principal_arn=asked["arn"],
        principal_type="User",
        principal_account=asked["arn"].split(":")[4],
        action=asked["action"],
        resource_arn=asked["resource"],
        region="us-east-1",
        source_ip=keys["aws:sourceip"],
        secure_transport=keys["aws:securetransport"] == "true",
        service_context=keys,
    )
    decision = evaluate_resource_policy(asked["policy"], context).decision
    print(WORDS.get(decision, decision), flush=True)
