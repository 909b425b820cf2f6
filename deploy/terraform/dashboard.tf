locals {
  # Title -> a PromQL query, two a row.
  charts = {
    "Messages published, per second"             = "sum by (topic_id) (rate(pubsub_googleapis_com:topic_send_message_operation_count{monitored_resource=\"pubsub_topic\"}[5m]))"
    "Oldest unacknowledged message, seconds"     = "max by (subscription_id) (pubsub_googleapis_com:subscription_oldest_unacked_message_age{monitored_resource=\"pubsub_subscription\"})"
    "Backlog, messages"                          = "sum by (subscription_id) (pubsub_googleapis_com:subscription_num_undelivered_messages{monitored_resource=\"pubsub_subscription\"})"
    "Pushes by answer, per second"               = "sum by (subscription_id, response_class) (rate(pubsub_googleapis_com:subscription_push_request_count{monitored_resource=\"pubsub_subscription\"}[5m]))"
    "Dead letters held"                          = "max(pubsub_googleapis_com:subscription_num_undelivered_messages{monitored_resource=\"pubsub_subscription\",subscription_id=\"${local.hold}\"})"
    "Requests by service and answer, per second" = "sum by (service_name, response_code_class) (rate(${local.run_requests}}[5m]))"
    "Request time, 95th percentile, ms"          = "histogram_quantile(0.95, sum by (service_name, le) (rate(run_googleapis_com:request_latencies_bucket{monitored_resource=\"cloud_run_revision\"}[5m])))"
    "Instances"                                  = "sum by (service_name) (run_googleapis_com:container_instance_count{monitored_resource=\"cloud_run_revision\"})"
    "Rows appended to BigQuery, per second"      = "sum(rate(bigquerystorage_googleapis_com:write_uploaded_row_count[5m]))"
    "Dataflow lag, seconds"                      = "max by (job_name) (dataflow_googleapis_com:job_system_lag{monitored_resource=\"dataflow_job\"})"
    "Dataflow vCPUs"                             = "sum by (job_name) (dataflow_googleapis_com:job_current_num_vcpus{monitored_resource=\"dataflow_job\"})"
  }
}

resource "google_monitoring_dashboard" "pipeline" {
  dashboard_json = jsonencode({
    displayName = "Mobility Pulse"
    mosaicLayout = {
      columns = 48
      tiles = [
        for index, title in keys(local.charts) : merge(
          # Cloud Monitoring leaves a position of 0 out of what it keeps, and every plan would put it back.
          { for axis, at in { xPos = 24 * (index % 2), yPos = 16 * floor(index / 2) } : axis => at if at > 0 },
          {
            width  = 24
            height = 16
            widget = {
              title = title
              xyChart = {
                dataSets = [{
                  plotType        = "LINE"
                  timeSeriesQuery = { prometheusQuery = local.charts[title] }
                }]
              }
            }
          },
        )
      ]
    }
  })

  depends_on = [google_project_service.api]
}
