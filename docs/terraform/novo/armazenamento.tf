# O bucket do envio diário de UPLOADS_DIR das instalações on-prem (guia, 2.2). Sem elas, deixe a lista vazia, `toset([])`:
# copias.tf a lê. Um bucket a mais para o que outro procedimento guarda entra na lista.

locals {
  governed_buckets = toset(["uploads"])
}

resource "aws_s3_bucket" "governed" {
  for_each = local.governed_buckets
  bucket   = "${local.name}-${each.key}"

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "governed" {
  for_each = local.governed_buckets
  bucket   = aws_s3_bucket.governed[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "governed" {
  for_each = local.governed_buckets
  bucket   = aws_s3_bucket.governed[each.key].id

  rule {
    apply_server_side_encryption_by_default {
      kms_master_key_id = aws_kms_key.app.arn
      sse_algorithm     = "aws:kms"
    }
    bucket_key_enabled = true
  }
}

resource "aws_s3_bucket_public_access_block" "governed" {
  for_each = local.governed_buckets
  bucket   = aws_s3_bucket.governed[each.key].id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "governed" {
  for_each = local.governed_buckets
  bucket   = aws_s3_bucket.governed[each.key].id

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.governed]
}

data "aws_iam_policy_document" "governed" {
  for_each = local.governed_buckets

  statement {
    sid       = "DenyInsecureTransport"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.governed[each.key].arn, "${aws_s3_bucket.governed[each.key].arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "governed" {
  for_each = local.governed_buckets
  bucket   = aws_s3_bucket.governed[each.key].id
  policy   = data.aws_iam_policy_document.governed[each.key].json
}
