"""The complete list of rights: each role with its grants, and who may call which function."""

from __future__ import annotations

from tests.tools.template.grants import CODE_DEPLOY, MARKED, Grant

INVOKE = "lambda:InvokeFunction"
UNLINK = (INVOKE, "${UnlinkFunction:live}")
MACHINE = "states:stateMachine:${AWS::StackName}-pairing"
API, WORKER, ENGINE = (
    ("secretsmanager:GetSecretValue", f"secretsmanager:secret:${{DatabaseSecretName}}/{need}-??????")
    for need in ("api", "worker", "engine")
)
VIA_SECRETS_MANAGER = (
    ' {"Condition": {"StringEquals": {"kms:ViaService": '
    '{"Fn::Sub": "secretsmanager.${AWS::Region}.${AWS::URLSuffix}"}}}}'
)
DECRYPT = (f"kms:Decrypt{VIA_SECRETS_MANAGER}", "${SecretsKmsKeyArn}")
PROXY = ("secretsmanager:GetSecretValue", "secretsmanager:secret:${WhatsAppProxy}-??????")
OWN_LOGS = "${FunctionLogs.Arn}"

# AWS allows these actions only on every resource.
NO_FINER_RESOURCE = {
    "logs:CreateLogGroup": "SAM attaches AWSLambdaBasicExecutionRole; OwnLogsOnly takes it back",
    "logs:CreateLogStream": "the same; OwnLogsOnly leaves the functions' group",
    "logs:PutLogEvents": "the same; OwnLogsOnly leaves the functions' group",
    "logs:CreateLogDelivery": "Step Functions wants it to log; a delivery is the account's, not a log group's",
    "logs:DeleteLogDelivery": "the same",
    "logs:GetLogDelivery": "the same",
    "logs:ListLogDeliveries": "the same",
    "logs:UpdateLogDelivery": "the same",
    "logs:DescribeLogGroups": "the same: it looks for the group",
    "logs:DescribeResourcePolicies": "the same: resource policies of CloudWatch Logs are the account's",
    "logs:PutResourcePolicy": "the same",
    "xray:GetSamplingRules": "with Tracing=Active: X-Ray's sampling is the account's",
    "xray:GetSamplingStatisticSummaries": "the same",
    "xray:GetSamplingTargets": "the same",
    "xray:PutTelemetryRecords": "with Tracing=Active: a trace is no resource",
    "xray:PutTraceSegments": "the same",
}

NO_FINER_RESOURCE |= {
    "cloudwatch:DescribeAlarms": "SAM attaches AWSCodeDeployRoleForLambda; only CodeDeploy may take the role on",
    "lambda:GetAlias": "the same",
    "lambda:GetProvisionedConcurrencyConfig": "the same",
    "lambda:UpdateAlias": "the same",
    "sns:Publish": "the same",
    f"s3:GetObject{MARKED}": "the same",
    f"s3:GetObjectVersion{MARKED}": "the same",
}

EVERY_FUNCTION: set[Grant] = {
    ("logs:CreateLogGroup", "*"),
    ("logs:CreateLogStream", "*"),
    ("logs:PutLogEvents", "*"),
    ("deny logs:CreateLogGroup", "*"),
    ("deny logs:CreateLogStream", f"not {OWN_LOGS}"),
    ("deny logs:PutLogEvents", f"not {OWN_LOGS}"),
    ("xray:GetSamplingRules", "*"),
    ("xray:GetSamplingStatisticSummaries", "*"),
    ("xray:GetSamplingTargets", "*"),
    ("xray:PutTelemetryRecords", "*"),
    ("xray:PutTraceSegments", "*"),
}

FUNCTIONS: dict[str, set[Grant]] = {
    "AuthorizerFunction": {
        ("secretsmanager:GetSecretValue", "secretsmanager:secret:${LegacyJwtSecretName}-??????"),
        DECRYPT,
    },
    "ConnectFunction": {("states:StartExecution", "${PairingStateMachine.Arn}"), API, DECRYPT},
    "StatusFunction": {API, DECRYPT},
    "DisconnectFunction": {("states:SendTaskFailure", MACHINE), UNLINK, API, DECRYPT},
    "PageFunction": set(),
    "OpenPhaseFunction": {
        (INVOKE, "${LinkerFunction:live}"),
        ("states:SendTaskSuccess", MACHINE),
        ("states:SendTaskFailure", MACHINE),
        WORKER,
        DECRYPT,
    },
    "SettlePhaseFunction": {UNLINK, WORKER, DECRYPT},
    "LinkerFunction": {
        ("states:SendTaskSuccess", MACHINE),
        ("states:SendTaskFailure", MACHINE),
        ("states:SendTaskHeartbeat", MACHINE),
        ("sqs:SendMessage", "${LinkerDeadLetters.Arn}"),
        UNLINK,
        WORKER,
        ENGINE,
        PROXY,
        DECRYPT,
    },
    "UnlinkFunction": {("sqs:SendMessage", "${UnlinkDeadLetters.Arn}"), WORKER, ENGINE, PROXY, DECRYPT},
    "CleanupFunction": {UNLINK, WORKER, DECRYPT},
    "ProbeFunction": {PROXY, DECRYPT},
}

# Key: a role. Value: the service that assumes the role, and the role's grants.
ROLES: dict[str, tuple[str, set[Grant]]] = {
    **{f"{name}Role": ("lambda", EVERY_FUNCTION | grants) for name, grants in FUNCTIONS.items()},
    "CleanupFunctionEvery5MinutesRole": ("scheduler", {(INVOKE, "${CleanupFunction:live}")}),
    "ProbeFunctionEveryHourRole": ("scheduler", {(INVOKE, "${ProbeFunction:live}")}),
    "SettingsRecordRole": ("states", set()),
    "CodeDeployServiceRole": ("codedeploy", set(CODE_DEPLOY)),
    "PairingStateMachineRole": (
        "states",
        {
            (INVOKE, "${OpenPhaseFunction:live}"),
            (INVOKE, "${SettlePhaseFunction:live}"),
            ("logs:CreateLogDelivery", "*"),
            ("logs:DeleteLogDelivery", "*"),
            ("logs:DescribeLogGroups", "*"),
            ("logs:DescribeResourcePolicies", "*"),
            ("logs:GetLogDelivery", "*"),
            ("logs:ListLogDeliveries", "*"),
            ("logs:PutResourcePolicy", "*"),
            ("logs:UpdateLogDelivery", "*"),
            ("xray:GetSamplingRules", "*"),
            ("xray:GetSamplingTargets", "*"),
            ("xray:PutTelemetryRecords", "*"),
            ("xray:PutTraceSegments", "*"),
        },
    ),
}

# The function, its caller, and the source of the call. Only these permissions belong to no role.
CALLERS = {
    ("AuthorizerFunction:live", "apigateway.amazonaws.com", "execute-api:${HttpApi}/authorizers/*"),
    ("ConnectFunction:live", "apigateway.amazonaws.com", "execute-api:${HttpApi}/*/POST/api/whatsapp/connect"),
    ("DisconnectFunction:live", "apigateway.amazonaws.com", "execute-api:${HttpApi}/*/POST/api/whatsapp/disconnect"),
} | {
    (function, "apigateway.amazonaws.com", f"execute-api:${{HttpApi}}/*/{method}{path}")
    for method in ("GET", "HEAD")
    for function, path in [
        ("StatusFunction:live", "/api/whatsapp/status"),
        ("StatusFunction:live", "/api/whatsapp/qr"),
        ("PageFunction:live", "/"),
        ("PageFunction:live", "/home/settings/whatsapp"),
        ("PageFunction:live", "/home/settings/whatsapp/*"),
    ]
}

# Every other type of resource that gives rights.
OWN_POLICIES = {"OwnLogsOnly"}
