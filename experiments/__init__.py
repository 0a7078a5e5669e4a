"""The command line, configurations, pipelines and reports: the only folder that knows all others."""
