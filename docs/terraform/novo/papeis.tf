# O papel da aplicação lê versões antigas dos anexos, para desfazer um erro sem chamar ninguém; e o papel que publica a
# stack de governança, assumido pelo pipeline e por pessoas.

resource "aws_iam_role_policy" "ecs_task_versions" {
  name = "${local.name}-task-versions"
  role = aws_iam_role.ecs_task.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["s3:GetObjectVersion"]
      Resource = "${aws_s3_bucket.attachments.arn}/*"
    }]
  })
}

variable "governance_repository" {
  description = "Repositório (dono/nome) cujo pipeline publica a stack: a cópia do repositório da governança"
  type        = string
}

variable "governance_deployer_policy" {
  description = "Caminho de deployer-policy.json, copiado do repositório da governança e preenchido para este ambiente"
  type        = string
}

# Só quem está em DeployerArns põe a política em vigor, apaga dados de pessoas e cura a evidência: um pipeline não faz
# nada disso, por isso a lista não pode ser vazia.
variable "governance_people" {
  description = "ARNs das roles ou usuários do IAM das pessoas que assumem a role que publica"
  type        = list(string)

  validation {
    condition     = length(var.governance_people) > 0
    error_message = "governance_people nomeia ao menos uma pessoa ou a role dela."
  }
}

# Um por conta: está em terraform/estado.
data "aws_iam_openid_connect_provider" "github" {
  url = "https://token.actions.githubusercontent.com"
}

data "aws_iam_policy_document" "deployer" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [data.aws_iam_openid_connect_provider.github.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }

    # Só o ambiente do GitHub com o mesmo nome, que pode pedir a aprovação de uma pessoa.
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = ["repo:${var.governance_repository}:environment:${var.environment}"]
    }
  }

  # Sem MFA e sem os revisores do GitHub: docs/adotar.md, passo 7, diz o que fazer.
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = var.governance_people
    }
  }
}

resource "aws_iam_role" "deployer" {
  name                 = "${local.name}-deployer"
  assume_role_policy   = data.aws_iam_policy_document.deployer.json
  max_session_duration = 3600
}

# Com `AddressOfThePage` a política não cabe entre as inline (10.240 caracteres): se o arquivo o tem (ReportPublicKey), o
# bloco vai numa política gerenciada à parte.
locals {
  deployer_statements = jsondecode(file(var.governance_deployer_policy)).Statement
  address_statements  = [for one in local.deployer_statements : one if one.Sid == "AddressOfThePage"]
}

resource "aws_iam_role_policy" "deployer" {
  name = "${local.name}-governance"
  role = aws_iam_role.deployer.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for one in local.deployer_statements : one if one.Sid != "AddressOfThePage"]
  })
}

resource "aws_iam_policy" "address" {
  count = length(local.address_statements)
  name  = "${local.name}-governance-address"

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.address_statements
  })
}

resource "aws_iam_role_policy_attachment" "address" {
  count      = length(local.address_statements)
  role       = aws_iam_role.deployer.name
  policy_arn = aws_iam_policy.address[count.index].arn
}

output "deployer_arn" {
  description = "Para DeployerArns"
  value       = aws_iam_role.deployer.arn
}
