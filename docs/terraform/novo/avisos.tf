# Os eventos do RDS sobre falhas e backups. Os alarmes da aplicação são da stack de governança
# (ApplicationLoadBalancerName, ApplicationTargetGroupName, ApplicationLogGroupName).

resource "aws_sns_topic" "database" {
  name = "${local.name}-database-events"
}

data "aws_iam_policy_document" "database_events" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.database.arn]

    principals {
      type        = "Service"
      identifiers = ["events.rds.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "database" {
  arn    = aws_sns_topic.database.arn
  policy = data.aws_iam_policy_document.database_events.json
}

# Confirme a inscrição que a AWS envia.
resource "aws_sns_topic_subscription" "database" {
  topic_arn = aws_sns_topic.database.arn
  protocol  = "email"
  endpoint  = var.operations_email
}

variable "operations_email" {
  description = "Quem recebe os eventos do banco"
  type        = string
}

resource "aws_db_event_subscription" "database" {
  name             = "${local.name}-database"
  sns_topic        = aws_sns_topic.database.arn
  source_type      = "db-instance"
  source_ids       = [for database in module.rds : database.db_instance_identifier]
  event_categories = ["failure", "backup", "availability", "deletion", "low storage"]
}
