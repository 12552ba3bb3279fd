# Os segredos que a governança e a aplicação esperam, sem valor: o valor entra por `aws secretsmanager put-secret-value`
# e nunca passa pelo Terraform (docs/adotar.md, passo 2). Tire os que o ambiente não tem.

locals {
  governed_secrets = toset([
    "audit-log-signing-key",
    "form-verification-hash-secret",
    "notifications-webhook",
    "seed-admin",
    "ses",
    "twilio",
    "database-admin",
    "slack",
    "slack-signing",
    "smoke",
    "github",
    "grafana",
    "alert-webhook",
  ])
}

resource "aws_secretsmanager_secret" "governed" {
  for_each                = local.governed_secrets
  name                    = "${local.name}-${each.key}"
  kms_key_id              = aws_kms_key.app.arn
  recovery_window_in_days = 30
}

# A aplicação recebe os dois primeiros, mas só no passo 6 e já com valor: uma task que pede um segredo sem valor não
# inicia. Então, em `container_secrets` de main.tf, junto com JWT_SECRET:
#   { name = "AUDIT_LOG_SIGNING_KEY", valueFrom = aws_secretsmanager_secret.governed["audit-log-signing-key"].arn },
#   { name = "FORM_VERIFICATION_HASH_SECRET", valueFrom = aws_secretsmanager_secret.governed["form-verification-hash-secret"].arn },
# e os ARNs dos dois em `secret_arns`.
