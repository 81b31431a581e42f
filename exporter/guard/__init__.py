"""Who is let in: certificates, users and headers, from the file that `--web.config.file` names."""
