# No lugar do bloco `terraform` de infra/terraform/main.tf. Com workspaces, o estado de dev fica em
# `env:/dev/terraform.tfstate`: é o que vai em TerraformStateKey. A trava é um objeto ao lado dele. Um
# `backend` não lê variáveis: troque 111122223333 pela conta, ou o nome inteiro pela saída `bucket` de terraform/estado.
terraform {
  required_version = ">= 1.11.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.90, < 7.0"
    }
  }

  backend "s3" {
    bucket       = "moveongs-terraform-state-111122223333"
    key          = "terraform.tfstate"
    region       = "us-east-1"
    encrypt      = true
    use_lockfile = true
  }
}
