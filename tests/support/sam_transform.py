"""Runs SAM's own transform without AWS: each line in is a SAM template, each line out is CloudFormation.

It runs in the environment that has sam-cli. A line in is the JSON of ``[template, parameters]``. A line out is the
expanded template, or the text of an error.
"""

import json
import os
import sys

os.environ["AWS_DEFAULT_REGION"] = "eu-west-1"

from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform

# The address of code that `sam package` would have uploaded.
UPLOADED = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}


class NoMorePolicies:
    """A stand-in for AWS. SAM knows AWS's managed policies, and asks only for other names."""

    def load(self):  # noqa: ANN201
        """Return the policies that AWS would list."""
        return {}


for line in sys.stdin:
    template, parameters = json.loads(line)
    for resource in template["Resources"].values():
        folder = UPLOADED.get(resource["Type"])
        if folder and not str(resource["Properties"].get(folder)).startswith("s3://"):
            resource["Properties"][folder] = "s3://bucket/key"
    try:
        answer = transform(template, parameters, NoMorePolicies())
    except InvalidDocumentException as error:
        answer = " ".join([error.message, *(cause.message for cause in error.causes)])
    print(json.dumps(answer), flush=True)
