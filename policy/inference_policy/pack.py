"""Rules as policies of Pulumi's SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pulumi_policy import (
    Policy,
    PolicyConfigSchema,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.deserialize import serialize_properties

from inference_policy import (
    doors,
    images,
    limits,
    namespaces,
    nodes,
    placement,
    probes,
    restricted,
    scalers,
    secrets,
    tags,
    weights,
)
from inference_policy.resource import Resource, Stack, read
from inference_policy.rule import Rule, StackRule, configured

RULES: Final[tuple[Rule | StackRule, ...]] = (
    placement.PLACED,
    placement.RESERVED,
    nodes.TAINTED,
    images.BY_DIGEST,
    restricted.RESTRICTED,
    namespaces.RESTRICTED,
    limits.LIMITED,
    probes.PROBED,
    secrets.BY_REFERENCE,
    scalers.OWN_REPLICAS,
    doors.KEYED,
    weights.PROTECTED,
    tags.TAGGED,
)


def policies() -> list[Policy]:
    """All of them. What they see of each resource is kept for those that look at resources together.

    The engine shows those the outputs, in which a server's defaults are, such as `replicas` of every Deployment. In the
    preview of a cluster that is yet to be made it has none at all.
    """
    seen: dict[str, Resource] = {}
    return [_of_stack(rule, seen) if isinstance(rule, StackRule) else _of_resource(rule, seen) for rule in RULES]


def _of_resource(rule: Rule, seen: dict[str, Resource]) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = read(args.resource_type, args.name, args.urn, args.props, args.opts)
        seen[resource.urn] = resource
        for message in rule.check(resource, configured(rule, args.get_config())):
            report(message, None)

    def remediate(args: ResourceValidationArgs) -> Any:
        # As they are on the wire, so that what is secret stays so, and what is unknown.
        inputs = dict(serialize_properties(args.props))
        mended = rule.remedy is not None and rule.remedy(
            args.resource_type, inputs, configured(rule, args.get_config())
        )
        return inputs if mended else None

    return ResourceValidationPolicy(
        rule.name,
        rule.description,
        validate,
        config_schema=_schema(rule.settings),
        remediate=remediate if rule.remedy else None,
    )


def _of_stack(rule: StackRule, seen: Mapping[str, Resource]) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        found = {each.urn: seen[each.urn] for each in args.resources if each.urn in seen}
        behind = {
            (each.urn, key): [other.urn for other in others]
            for each in args.resources
            for key, others in each.property_dependencies.items()
        }
        stack = Stack(resources=found, dependencies=behind)
        for resource, message in rule.check(stack, configured(rule, args.get_config())):
            report(message, resource.urn)

    return StackValidationPolicy(rule.name, rule.description, validate, config_schema=_schema(rule.settings))


def _schema(settings: Mapping[str, Mapping[str, Any]]) -> PolicyConfigSchema | None:
    return PolicyConfigSchema({key: dict(value) for key, value in settings.items()}) if settings else None
