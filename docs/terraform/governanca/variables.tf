variable "environment" {
  description = "dev, staging ou prod"
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "environment é dev, staging ou prod."
  }
}

variable "project" {
  description = "Começo dos nomes"
  type        = string
  default     = "moveongs"
}

variable "template_url" {
  description = "Endereço https do template empacotado no S3, com o commit no nome: o Terraform só vê uma mudança quando o endereço muda"
  type        = string

  validation {
    condition     = startswith(var.template_url, "https://")
    error_message = "template_url é o endereço https de um objeto do S3."
  }
}

variable "code_version" {
  description = "Commit de que as funções foram feitas (CodeVersion)"
  type        = string
}

variable "parameters_file" {
  description = "O arquivo que `cargo xtask configure` escreve (dev.yaml)"
  type        = string
}

variable "parameters" {
  description = "Parâmetros que o Terraform sabe melhor que o arquivo, por exemplo ARNs de recursos seus; valem mais que os do arquivo"
  type        = map(string)
  default     = {}
}

variable "service_role_arn" {
  description = "Role de serviço do CloudFormation, que então vai em DeployerArns junto com a role que pessoas assumem; null: as permissões de quem roda o Terraform"
  type        = string
  default     = null
}
