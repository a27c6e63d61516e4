"""SAM's own transform, without AWS: CloudFormation out, one JSON document per line, for SAM templates in.

Runs under the interpreter that has sam-cli. A line in is ``[template, parameters]``; a line out is the expanded
template, or the text of what is wrong with it.
"""

import json
import os
import sys

os.environ["AWS_DEFAULT_REGION"] = "eu-west-1"

from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform

# What `sam package` would have uploaded.
UPLOADED = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}


class NoMorePolicies:
    """SAM knows AWS's managed policies; for other names it would ask AWS."""

    def load(self):  # noqa: ANN201
        """Return the policies that AWS would list."""
        return {}


for line in sys.stdin:
    template, parameters = json.loads(line)
    for resource in template["Resources"].values():
        if resource["Type"] in UPLOADED:
            resource["Properties"][UPLOADED[resource["Type"]]] = "s3://bucket/key"
    try:
        answer = transform(template, parameters, NoMorePolicies())
    except InvalidDocumentException as error:
        answer = " ".join([error.message, *(cause.message for cause in error.causes)])
    print(json.dumps(answer), flush=True)
