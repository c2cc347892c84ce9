"""Renews the prices of EC2's instance types from Karpenter's copy of AWS's list: `python -m rehearsal.price_data`.

Karpenter asks AWS's price list with every release and writes the answer, on demand and for Linux, into its source.
Of AWS's commercial regions it has us-east-1; those that cost the same are told to be like it.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from components.facts import ec2
from components.facts.prices import DATA
from components.settings.eks import SystemNodes
from rehearsal.toolchain import golang

MODULE: Final = "github.com/aws/karpenter-provider-aws"
VERSION: Final = "v1.14.1"
FILES: Final = ("zz_generated.pricing_aws.go", "zz_generated.pricing_aws_us_gov.go")
SAME: Final = MappingProxyType({"us-east-2": "us-east-1", "us-west-2": "us-east-1"})
SYSTEM: Final = re.compile(r"^[mcrt](5|6i|6a|7i|7a|7i-flex|8i|8a)\.(large|xlarge|2xlarge|4xlarge)$")
"""Types that system nodes may well be of, beside those with GPUs."""
_DATED: Final = re.compile(r"^// generated at (\d{4}-\d\d-\d\d)T", re.MULTILINE)
_REGION: Final = re.compile(r'^\t"([a-z0-9-]+)": \{$(.*?)^\t\},$', re.MULTILINE | re.DOTALL)
_PRICE: Final = re.compile(r'"([a-z0-9-]+\.[a-z0-9-]+)": ([0-9.]+)')


def current(folder: Path) -> dict[str, Any]:
    """The data as it should ship, from Karpenter's folder `pkg/providers/pricing`."""
    texts = [(folder / name).read_text() for name in FILES]
    known = {*ec2.instance_types(), *SystemNodes().instance_types}
    return {
        "dated": {region: day for text in texts for region, _ in _REGION.findall(text) for day in _DATED.findall(text)},
        "source": f"AWS's price list, on demand, Linux, as of {MODULE} {VERSION}",
        "same": dict(SAME),
        "regions": {
            region: {name: float(usd) for name, usd in _PRICE.findall(body) if name in known or SYSTEM.match(name)}
            for text in texts
            for region, body in _REGION.findall(text)
        },
    }


def render(data: dict[str, Any]) -> str:
    """JSON with a line for each region."""
    head = [f'"{key}": {json.dumps(data[key])}' for key in data if key != "regions"]
    regions = ",\n".join(f'"{region}": {json.dumps(prices)}' for region, prices in data["regions"].items())
    return "{" + ",\n".join([*head, f'"regions": {{\n{regions}\n}}']) + "}\n"


def main() -> None:
    """Download the module, checked against Go's sums of it, and write the data."""
    with tempfile.TemporaryDirectory() as empty:
        told = golang.go(Path(empty), "mod", "download", "-json", f"{MODULE}@{VERSION}")
    DATA.write_text(render(current(Path(json.loads(told)["Dir"]) / "pkg/providers/pricing")))
    sys.stdout.write(f"renewed {DATA.name}: {MODULE} {VERSION}\n")


if __name__ == "__main__":
    main()
