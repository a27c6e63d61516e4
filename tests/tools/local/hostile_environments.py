"""Environment variables that people really have. The local system must become ready with each of them."""

from __future__ import annotations

NOWHERE = "/nowhere/at/all"
CLOSED = "http://127.0.0.1:1"

# These stopped the local system before it cleaned its environment.
ONCE_BROKEN = {
    "a locale that is not generated",
    "a Postgres that wants TLS",
    "read-only transactions",
    "an AWS profile",
}

VARIABLES: dict[str, dict[str, str]] = {
    "a database of somebody": {"DATABASE_URL": "postgresql://me:secret@127.0.0.1:1/production"},
    "a proxy": {"http_proxy": CLOSED, "HTTP_PROXY": CLOSED, "https_proxy": CLOSED, "HTTPS_PROXY": CLOSED},
    "a proxy with exceptions": {"http_proxy": CLOSED, "no_proxy": "example.com", "NO_PROXY": "example.com"},
    "a proxy for all": {"ALL_PROXY": "socks5://127.0.0.1:1", "all_proxy": "socks5://127.0.0.1:1"},
    "a locale that is not generated": {"LANG": "en_GB.UTF-8"},
    "no such locale": {"LC_ALL": "tlh_QO.UTF-8", "LANGUAGE": "tlh"},
    "a locale for messages": {"LC_MESSAGES": "de_DE.UTF-8", "LC_CTYPE": "POSIX"},
    "a time zone that is none": {"TZ": "Mars/Olympus"},
    "a Postgres that wants TLS": {"PGSSLMODE": "require"},
    "a Postgres that wants a CA": {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": NOWHERE},
    "read-only transactions": {"PGOPTIONS": "-c default_transaction_read_only=on"},
    "a search path": {"PGOPTIONS": "-c search_path=elsewhere"},
    "a service file": {"PGSERVICE": "work", "PGSERVICEFILE": NOWHERE, "PGPASSFILE": NOWHERE, "PGSYSCONFDIR": NOWHERE},
    "another Postgres": {"PGHOST": "db.example.com", "PGPORT": "6543", "PGUSER": "me", "PGDATABASE": "app"},
    "another Postgres's address": {"PGHOSTADDR": "127.0.0.2", "PGPASSWORD": "secret", "PGDATA": NOWHERE},
    "Postgres with a password only": {"PGREQUIREAUTH": "scram-sha-256", "PGCHANNELBINDING": "require"},
    "a client encoding": {"PGCLIENTENCODING": "LATIN9", "PGCONNECT_TIMEOUT": "soon", "PGTZ": "x"},
    "a version of the wheel": {"PGSERVER_POSTGRES_VERSION": "9", "XDG_RUNTIME_DIR": NOWHERE},
    "an AWS profile": {"AWS_PROFILE": "work", "AWS_DEFAULT_PROFILE": "work"},
    "an AWS endpoint": {"AWS_ENDPOINT_URL": CLOSED, "AWS_ENDPOINT_URL_LAMBDA": CLOSED},
    "AWS files": {"AWS_CONFIG_FILE": NOWHERE, "AWS_SHARED_CREDENTIALS_FILE": NOWHERE, "AWS_CA_BUNDLE": NOWHERE},
    "AWS settings": {"AWS_REGION": "eu-west-1", "AWS_MAX_ATTEMPTS": "many", "AWS_RETRY_MODE": "x"},
    "AWS keys": {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "y"},
    "moto's own settings": {"MOTO_PORT": "1", "MOTO_CALL_RESET_API": "false", "MOTO_ACCOUNT_ID": "1"},
    "a web framework's settings": {"WERKZEUG_RUN_MAIN": "true", "WERKZEUG_SERVER_FD": "9", "FLASK_ENV": "x"},
    "CAs that are not there": {"SSL_CERT_FILE": NOWHERE, "REQUESTS_CA_BUNDLE": NOWHERE, "CURL_CA_BUNDLE": NOWHERE},
    "warnings as errors": {"PYTHONWARNINGS": "error"},
    "Python without docstrings": {"PYTHONOPTIMIZE": "2", "PYTHONDONTWRITEBYTECODE": "1"},
    "Python in development mode": {"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONTRACEMALLOC": "5"},
    "Python in ASCII": {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "no temporary folder": {"TMPDIR": NOWHERE, "TEMP": NOWHERE, "TMP": NOWHERE},
    "no home": {"HOME": NOWHERE, "XDG_CONFIG_HOME": NOWHERE},
    "a Lambda function's own": {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1", "LAMBDA_TASK_ROOT": NOWHERE, "_HANDLER": "x"},
    "the product's own settings": {"DATABASE_SECRET_NAME": "x", "SUPABASE_URL": CLOSED, "POWERTOOLS_LOG_LEVEL": "no"},
    "an engine of somebody": {"NEONIZE_BOT_TAG": "on"},
    "another virtual environment": {"VIRTUAL_ENV": NOWHERE, "CONDA_PREFIX": NOWHERE, "PYENV_VERSION": "2.7"},
}
