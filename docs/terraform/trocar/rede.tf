# No lugar de `aws_security_group.database` de infra/terraform/main.tf: as regras dele são internas, e uma regra de fora
# seria tirada no `terraform apply` seguinte.
resource "aws_security_group" "database" {
  count       = var.create_rds ? 1 : 0
  name        = "${local.name}-db"
  description = "Acesso ao banco vindo da ECS"
  vpc_id      = module.vpc.vpc_id

  ingress {
    from_port       = 5432
    to_port         = 5432
    protocol        = "tcp"
    security_groups = [aws_security_group.ecs_service.id, aws_security_group.governance.id]
  }

  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}
