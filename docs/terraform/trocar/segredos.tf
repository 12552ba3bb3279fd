# No lugar dos três blocos `aws_secretsmanager_secret_version` de infra/terraform/main.tf, e das variáveis
# `jwt_secret_value` e dos valores nos tfvars. O Terraform esquece os valores e não os apaga; as versões antigas do
# estado ainda os têm, por isso rotacione cada um depois (docs/adotar.md).
removed {
  from = aws_secretsmanager_secret_version.jwt

  lifecycle {
    destroy = false
  }
}

removed {
  from = aws_secretsmanager_secret_version.database_url

  lifecycle {
    destroy = false
  }
}

removed {
  from = aws_secretsmanager_secret_version.redis_url

  lifecycle {
    destroy = false
  }
}
