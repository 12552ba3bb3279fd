# No lugar de `module "rds"` de infra/terraform/main.tf. Nada disto recria a instância; `terraform plan` não pode mostrar
# `must be replaced`. Duas mudanças que a recriariam não estão aqui: `kms_key_id` (docs/backups.md, «Cifrar») e a
# mudança de rede de uma instância que nasceu na VPC padrão.
module "rds" {
  source  = "terraform-aws-modules/rds/aws"
  version = "~> 6.5"
  count   = var.create_rds ? 1 : 0

  identifier = "${local.name}-db"

  # Só a versão maior: o RDS sobe a menor sozinho (`auto_minor_version_upgrade`), e com uma exata o apply seguinte pediria
  # a velha, que ele recusa. Se mesmo assim o plan muda `engine_version`, escreva a que a instância tem, e não aplique.
  engine                = "postgres"
  engine_version        = "15"
  instance_class        = var.rds_instance_class
  allocated_storage     = var.rds_allocated_storage
  max_allocated_storage = var.rds_allocated_storage * 2
  multi_az              = var.rds_multi_az

  db_name  = "${replace(local.name, "-", "_")}_db"
  username = var.rds_username
  password = var.rds_password

  # O padrão do módulo é o RDS gerir a senha mestre e ignorar `password`.
  manage_master_user_password = false

  create_db_option_group          = false
  create_db_parameter_group       = true
  parameter_group_name            = "${local.name}-postgres15"
  parameter_group_use_name_prefix = false
  family                          = "postgres15"

  parameters = [
    { name = "rds.force_ssl", value = "1" },
  ]

  vpc_security_group_ids = [aws_security_group.database[0].id]
  subnet_ids             = module.vpc.private_subnets
  # Num ambiente novo, acrescente `create_db_subnet_group = true`: sem isso o módulo ignora `subnet_ids`.

  publicly_accessible = false
  storage_encrypted   = true

  # O guia: 7 dias, em prod 30. A janela é em UTC: 2 h às 3 h em São Paulo.
  backup_retention_period         = var.environment == "prod" ? 30 : 7
  backup_window                   = "05:00-06:00"
  delete_automated_backups        = false
  deletion_protection             = true
  copy_tags_to_snapshot           = true
  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = ["postgresql"]

  skip_final_snapshot              = false
  final_snapshot_identifier_prefix = "${local.name}-final"
}
