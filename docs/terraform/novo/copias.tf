# A segunda via no AWS Backup: um cofre com chave e trava próprias, um plano diário, o banco e os buckets. Custa o
# armazenamento das cópias; em dev e staging pode ficar de fora, com uma exceção na política.

resource "aws_backup_vault" "this" {
  name        = local.name
  kms_key_arn = aws_kms_key.app.arn
}

# Sem `changeable_for_days` a trava pode ser tirada por quem administra a conta; com ele, depois dos dias, por ninguém.
resource "aws_backup_vault_lock_configuration" "this" {
  backup_vault_name  = aws_backup_vault.this.name
  min_retention_days = 7
  max_retention_days = 366
}

resource "aws_backup_plan" "this" {
  name = local.name

  rule {
    rule_name         = "daily"
    target_vault_name = aws_backup_vault.this.name
    schedule          = "cron(0 7 * * ? *)"
    start_window      = 60
    completion_window = 480

    lifecycle {
      delete_after = var.environment == "prod" ? 35 : 7
    }
  }
}

data "aws_iam_policy_document" "backup" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["backup.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "backup" {
  name               = "${local.name}-backup"
  assume_role_policy = data.aws_iam_policy_document.backup.json
}

resource "aws_iam_role_policy_attachment" "backup" {
  for_each = toset([
    "service-role/AWSBackupServiceRolePolicyForBackup",
    "service-role/AWSBackupServiceRolePolicyForRestores",
    "AWSBackupServiceRolePolicyForS3Backup",
    "AWSBackupServiceRolePolicyForS3Restore",
  ])

  role       = aws_iam_role.backup.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/${each.key}"
}

resource "aws_backup_selection" "this" {
  name         = local.name
  plan_id      = aws_backup_plan.this.id
  iam_role_arn = aws_iam_role.backup.arn

  resources = concat(
    [for database in module.rds : database.db_instance_arn],
    [aws_s3_bucket.attachments.arn],
    [for bucket in aws_s3_bucket.governed : bucket.arn],
  )
}
