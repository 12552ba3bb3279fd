# No lugar de `module "redis"` de infra/terraform/main.tf: a versão que ele pede (~> 5.4) não existe, e com ele `terraform
# init` não termina. Tire também de main.tf as linhas `redis_host` e `redis_url` do bloco `locals`, e de outputs.tf a saída
# `redis_endpoint`: liam uma saída que o módulo não tem. As três estão aqui.
resource "aws_elasticache_subnet_group" "redis" {
  count      = var.create_redis ? 1 : 0
  name       = "${local.name}-redis"
  subnet_ids = module.vpc.private_subnets
}

resource "aws_elasticache_replication_group" "redis" {
  count                = var.create_redis ? 1 : 0
  replication_group_id = "${local.name}-redis"
  description          = "Cache da API"

  engine               = "redis"
  engine_version       = "7.0"
  parameter_group_name = "default.redis7"
  node_type            = var.redis_node_type
  num_cache_clusters   = var.redis_num_cache_nodes

  automatic_failover_enabled = var.redis_num_cache_nodes > 1
  at_rest_encryption_enabled = true

  subnet_group_name  = aws_elasticache_subnet_group.redis[0].name
  security_group_ids = [aws_security_group.redis[0].id]
}

locals {
  redis_host = one(aws_elasticache_replication_group.redis[*].primary_endpoint_address)
  redis_url  = var.create_redis ? "redis://${local.redis_host}:6379" : lookup(var.extra_environment, "REDIS_URL", null)
}

output "redis_endpoint" {
  description = "Endpoint do Redis"
  value       = local.redis_host
}
