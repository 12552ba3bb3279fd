# A stack de governança de um ambiente, para quem vive no Terraform: o CloudFormation continua a fazer os recursos, com as
# mesmas `Rules` e o mesmo retorno à versão anterior. `terraform plan` só mostra que o template ou um parâmetro muda, não o
# que acontece com os recursos: antes de um `apply` em prod, olhe o change set (docs/adotar.md).

locals {
  # Uma lista do arquivo é um texto com vírgulas, e um valor em branco, um texto vazio.
  from_file = { for name, value in yamldecode(file(var.parameters_file)) : name => value == null ? "" : try(join(",", value), tostring(value)) }

  parameters = merge(local.from_file, var.parameters, {
    Environment = var.environment
    CodeVersion = var.code_version
  })
}

resource "aws_cloudformation_stack" "governance" {
  name         = "${var.project}-governance-${var.environment}"
  template_url = var.template_url
  parameters   = local.parameters
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
  iam_role_arn = var.service_role_arn

  # Uma criação que falha fica para ser lida; docs/adotar.md, «A stack pelo Terraform», diz como continuar.
  on_failure         = "DO_NOTHING"
  timeout_in_minutes = 60

  tags = {
    Project     = var.project
    Environment = var.environment
    ManagedBy   = "terraform"
  }

  lifecycle {
    # Apagar a stack desliga a rotação de cada segredo.
    prevent_destroy = true
    ignore_changes  = [on_failure]
  }
}
