# Grupo de segurança das funções (VpcSecurityGroupIds; VpcSubnetIds são as sub-redes privadas), o lugar dos testes de
# restauração, e a saída para o S3 sem NAT.

resource "aws_security_group" "governance" {
  name        = "${local.name}-governance"
  description = "Funcoes de governanca"
  vpc_id      = module.vpc.vpc_id

  egress {
    description = "AWS, Slack, GitHub, a API"
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }

  egress {
    description = "PostgreSQL"
    from_port   = 5432
    to_port     = 5432
    protocol    = "tcp"
    cidr_blocks = [var.vpc_cidr]
  }
}

resource "aws_security_group" "restore" {
  name        = "${local.name}-restore"
  description = "Instancias dos testes de restauracao"
  vpc_id      = module.vpc.vpc_id

  ingress {
    description     = "So as funcoes"
    from_port       = 5432
    to_port         = 5432
    protocol        = "tcp"
    security_groups = [aws_security_group.governance.id]
  }
}

resource "aws_db_subnet_group" "restore" {
  name        = "${local.name}-restore"
  description = "Testes de restauracao"
  subnet_ids  = module.vpc.private_subnets
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = module.vpc.vpc_id
  service_name      = "com.amazonaws.${var.aws_region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = module.vpc.private_route_table_ids
}
