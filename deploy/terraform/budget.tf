# A budget warns, it stops nothing: `pmpctl down` does.
resource "google_billing_budget" "monthly" {
  count = var.monthly_budget > 0 ? 1 : 0

  billing_account = data.google_project.this.billing_account
  display_name    = "Mobility Pulse, ${var.environment}"

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
  }
  amount {
    specified_amount {
      currency_code = var.budget_currency
      units         = tostring(var.monthly_budget)
    }
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1]
    content {
      threshold_percent = threshold_rules.value
    }
  }
  threshold_rules {
    threshold_percent = 1
    spend_basis       = "FORECASTED_SPEND"
  }

  # Without channels the billing account's administrators are told, who are told besides in any case.
  dynamic "all_updates_rule" {
    for_each = length(local.channels) > 0 ? [slice(local.channels, 0, min(5, length(local.channels)))] : []
    content {
      monitoring_notification_channels = all_updates_rule.value # at most 5, says the API
      disable_default_iam_recipients   = false
    }
  }

  depends_on = [google_project_service.api]
}
