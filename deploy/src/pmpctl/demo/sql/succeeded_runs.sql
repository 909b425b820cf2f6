SELECT COUNT(*) AS n FROM `{feature_runs}` WHERE status = 'succeeded'
