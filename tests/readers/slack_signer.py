"""Signs requests as Slack does, with Slack's own Python SDK, and says whether that SDK accepts a signature.

Each line on stdin is `{"secret": TEXT, "timestamp": TEXT, "body": TEXT}`, with `signature` to have one verified. The
answer is `{"signature": TEXT, "accepted": true}`; the clock of the verification is the timestamp.
"""

import json
import sys

from slack_sdk.signature import Clock, SignatureVerifier


class At(Clock):
    def __init__(self, timestamp: str):
        self.timestamp = timestamp

    def now(self) -> float:
        return float(self.timestamp)


for line in sys.stdin:
    request = json.loads(line)
    timestamp, body = request["timestamp"], request["body"]
    verifier = SignatureVerifier(request["secret"], At(timestamp))
    signature = verifier.generate_signature(timestamp=timestamp, body=body)
    accepted = verifier.is_valid(body=body, timestamp=timestamp, signature=request.get("signature", signature))
    print(json.dumps({"signature": signature, "accepted": accepted}), flush=True)
