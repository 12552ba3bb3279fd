output "outputs" {
  description = "As saídas da stack, por nome"
  value       = aws_cloudformation_stack.governance.outputs
}
