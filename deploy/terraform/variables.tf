variable "project_id" {
  description = "Google Cloud project id; one environment is one project"
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id: 6 to 30 lower-case letters, digits and hyphens, a letter first."
  }
}

variable "region" {
  description = "Region of everything, the datasets included"
  type        = string
  default     = "europe-west1"
  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region: a region such as europe-west1, not a zone or a multi-region."
  }
}

variable "environment" {
  description = "Label of every resource; prod also protects tables from deletion"
  type        = string
  default     = "prod"
  validation {
    condition     = contains(["dev", "test", "prod"], var.environment)
    error_message = "environment: dev, test or prod."
  }
}

variable "image_tag" {
  description = "Tag of the images to run, as pushed by the build; a commit rather than latest, so that a change of image is a change of plan"
  type        = string
  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image_tag))
    error_message = "image_tag: letters, digits, '_', '.' and '-', 128 at most."
  }
}

variable "repository" {
  description = "Artifact Registry repository of the images"
  type        = string
  default     = "pmp"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,61}[a-z0-9]$", var.repository))
    error_message = "repository: lower-case letters, digits and hyphens, a letter first."
  }
}

variable "bucket" {
  description = "Bucket of Dataflow's files and of debug output; null for pmp-dataflow-PROJECT_ID"
  type        = string
  default     = null
  validation {
    condition     = var.bucket == null || can(regex("^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket: a bucket name without gs://."
  }
}

variable "debug_output_days" {
  description = "Days that the debug output of feature runs is kept"
  type        = number
  default     = 14
  validation {
    condition     = var.debug_output_days >= 1 && floor(var.debug_output_days) == var.debug_output_days
    error_message = "debug_output_days: a whole number of days, at least 1."
  }
}

variable "feeds_file" {
  description = "Path of a feeds file (TOML) that says which systems are polled; null for Vélib"
  type        = string
  default     = null
  validation {
    condition     = var.feeds_file == null || can(file(var.feeds_file))
    error_message = "feeds_file: there is no such file."
  }
}

variable "log_level" {
  description = "Log level of the services"
  type        = string
  default     = "INFO"
  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level: DEBUG, INFO, WARNING or ERROR."
  }
}

variable "sizes" {
  description = "Cloud Run sizes that differ from the defaults, by service of the topology: CPUs, memory, requests at a time per instance, instances"
  type = map(object({
    cpu         = optional(string)
    memory      = optional(string)
    concurrency = optional(number)
    min         = optional(number)
    max         = optional(number)
  }))
  default = {}
  validation {
    condition     = length(setsubtract(keys(var.sizes), keys(local.sizes))) == 0
    error_message = "sizes: keys are services of the topology: ${join(", ", keys(local.sizes))}."
  }
  validation {
    condition     = alltrue([for size in values(var.sizes) : try(size.min <= size.max, true)])
    error_message = "sizes: min is at most max."
  }
  validation {
    condition = alltrue([
      for key, size in var.sizes : try(
        !can(regex("^(0?\\.[0-9]+|[0-9]{1,3}m)$", coalesce(size.cpu, local.sizes[key].cpu))) ||
        coalesce(size.concurrency, local.sizes[key].concurrency) == 1,
        true,
      )
    ])
    error_message = "sizes: less than one CPU takes one request at a time: concurrency = 1."
  }
}

variable "sensor_ingestion" {
  description = "Who writes sensor events: push (the writer), pull (Dataflow, for high volume), or both while switching"
  type        = string
  default     = "push"
  validation {
    condition     = contains(["push", "both", "pull"], var.sensor_ingestion)
    error_message = "sensor_ingestion: push, both or pull; switch by way of both, until the push backlog is empty."
  }
}

variable "debug_subscriptions" {
  description = "Whether the subscriptions for looking on (debug, audit) exist"
  type        = bool
  default     = false
}

variable "feature_engine" {
  description = "How station features are computed on schedule: sql (BigQuery) or beam (Dataflow)"
  type        = string
  default     = "sql"
  validation {
    condition     = contains(["sql", "beam"], var.feature_engine)
    error_message = "feature_engine: sql or beam."
  }
}

variable "feature_deadline_s" {
  description = "Seconds after which a feature run is ended; null for 900 (sql) or 1500 (beam: the time between two runs)"
  type        = number
  default     = null
  validation {
    condition     = try(var.feature_deadline_s >= 60 && var.feature_deadline_s <= 1500, var.feature_deadline_s == null)
    error_message = "feature_deadline_s: 60 to 1500: Cloud Scheduler waits 1800 s for a run and its submission."
  }
}

variable "dataflow" {
  description = "Machine type of Dataflow's workers and how many a job may have"
  type = object({
    machine_type = optional(string, "n2d-standard-2")
    max_workers  = optional(number, 1)
  })
  default = {}
  validation {
    condition     = var.dataflow.max_workers >= 1 && var.dataflow.max_workers <= 1000
    error_message = "dataflow.max_workers: 1 to 1000."
  }
}

variable "subnetwork" {
  description = "Subnetwork of Dataflow's workers (regions/R/subnetworks/S, with Private Google Access; they get no public addresses); null for the default network"
  type        = string
  default     = null
  validation {
    condition     = var.subnetwork == null || can(regex("regions/[^/]+/subnetworks/[^/]+$", var.subnetwork))
    error_message = "subnetwork: regions/REGION/subnetworks/NAME."
  }
}

variable "schedules_paused" {
  description = "Whether schedules are made paused, so that nothing runs before `pmpctl up`; later changes are pmpctl's"
  type        = bool
  default     = true
}

variable "operators" {
  description = "Who may call the services, pmpctl's users: user:..., group:... or serviceAccount:..."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for member in var.operators : can(regex("^(user|group|serviceAccount|domain):.+", member))])
    error_message = "operators: user:, group:, serviceAccount: or domain: and a name; never allUsers."
  }
}

variable "dashboard_viewers" {
  description = "Who may see the dashboard besides the operators; [\"allUsers\"] makes it public"
  type        = list(string)
  default     = []
  validation {
    condition = alltrue([
      for member in var.dashboard_viewers :
      can(regex("^((user|group|serviceAccount|domain):.+|allUsers|allAuthenticatedUsers)$", member))
    ])
    error_message = "dashboard_viewers: user:, group:, serviceAccount: or domain: and a name, or allUsers."
  }
}

variable "monthly_budget" {
  description = "Budget a month, in budget_currency; 0 makes no budget alert"
  type        = number
  default     = 40
  validation {
    condition     = var.monthly_budget >= 0 && floor(var.monthly_budget) == var.monthly_budget
    error_message = "monthly_budget: a whole number, 0 or more."
  }
}

variable "budget_currency" {
  description = "Currency of the budget: that of the billing account"
  type        = string
  default     = "USD"
  validation {
    condition     = can(regex("^[A-Z]{3}$", var.budget_currency))
    error_message = "budget_currency: an ISO 4217 code such as USD or EUR."
  }
}

variable "alert_emails" {
  description = "Addresses that alerts go to, and the budget alert to the first 5 of them by name"
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "alert_emails: e-mail addresses."
  }
}
