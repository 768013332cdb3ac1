"""The words of a sheet: what a file can hold, how it can be written, and what a column of it can mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from customers.imports.targets import OWNED, targets_of
from segments.lines import LIST_KIND, SIGNS
from web.i18n import N_, _
from web.vocabulary import channel_label, field_label

KIND_LABELS = {
    "customers": N_("Customers"),
    "orders": N_("Orders"),
    "appliances": N_("Appliances"),
    "service_visits": N_("Service visits"),
    "salespeople": N_("Salespeople"),
    "dealers": N_("Dealers"),
    "communities": N_("Communities"),
    "products": N_("Products"),
    LIST_KIND: N_("A list of people"),
}
ENCODINGS = {
    "utf-8": "UTF-8",
    "gb18030": "GB18030 (GBK)",
    "big5hkscs": "Big5",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
    "shift_jis": "Shift-JIS",
    "euc_kr": "EUC-KR",
    "cp1252": "Windows-1252",
}
DELIMITERS = {",": N_("Comma"), ";": N_("Semicolon"), "\t": N_("Tab"), "|": N_("Vertical bar")}
NAMED_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
LABELS = {
    "id": N_("Hearth's own number"),
    "household_size": N_("Household size"),
    "order_number": N_("Order number"),
    "note": N_("Note"),
    "appliance": N_("Appliance number"),
    "code": N_("Code"),
    "active": N_("Active"),
}
MESSENGERS = {
    "wechat": "WeChat",
    "wecom": "WeCom",
    "whatsapp": "WhatsApp",
    "line": "LINE",
    "telegram": "Telegram",
    "messenger": "Messenger",
    "qq": "QQ",
    "dingtalk": "DingTalk",
}

Group = tuple[str, list[tuple[str, str]]]
"""A group of choices: its label, and each target with its own."""


def choices(kind: str, identity_kinds: Iterable[str], *, creating: bool) -> list[Group]:
    """What a column of a file of `kind` can mean."""
    messengers = list(dict.fromkeys([*identity_kinds, *MESSENGERS]))
    if kind in (LIST_KIND, "customers"):
        who = _who("", messengers)
        if kind == LIST_KIND and not creating:
            return [(_("Who it is"), who)]
        groups = [(_("Who it is"), who), (_("About the customer"), _plain(_about("customers")))]
        return groups + ([] if kind == LIST_KIND else [_consent_choices("")])
    own = [name for name in targets_of(kind) if not name.startswith("customer.")]
    groups = [(_(KIND_LABELS[kind]), _plain(own))]
    if kind == "orders":
        items = [(f"items.{name}", _label(name)) for name in targets_of("orders.items")]
        groups.append((_("The order's items"), items))
    if kind in OWNED:
        groups.append((_("Whose it is"), _who("customer.", messengers)))
        about = [(f"customer.{name}", _label(name)) for name in _about("customers")]
        groups.append((_("About the customer"), about))
    return groups


def attribute_of(kind: str, creating: bool, column: str) -> str:
    """The target by which a column is kept as an attribute of the customer; empty where there is none."""
    key = "_".join("".join(sign if sign.isalnum() else " " for sign in column).split()).lower()[:64]
    if (
        not key
        or key[0].isnumeric()
        or kind not in (*OWNED, "customers", LIST_KIND)
        or (kind == LIST_KIND and not creating)
    ):
        return ""
    return f"{'customer.' if kind in OWNED else ''}attributes.{key}"


def target_label(target: str) -> str:
    """What a target is called beside a column that is not in any list of choices."""
    plain = target.removeprefix("customer.").removeprefix("items.")
    return _identity_label(plain[11:]) if plain.startswith("identities.") else _label(plain)


def encoding_name(encoding: str) -> str:
    """An encoding as people call it."""
    return ENCODINGS.get(encoding.removesuffix("-sig"), encoding.upper())


def _who(before: str, messengers: Sequence[str]) -> list[tuple[str, str]]:
    plain = [(f"{before}{name}", _label(name)) for name in ("external_id", "email", "phone", "id")]
    return plain + [(f"{before}identities.{name}", _identity_label(name)) for name in messengers]


def _about(kind: str) -> list[str]:
    return [name for name in targets_of(kind) if name not in SIGNS and "…" not in name]


def _plain(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, _label(name)) for name in names if "…" not in name]


def _consent_choices(before: str) -> Group:
    channels = ("email", "sms")
    told = [(one, _("Consents to %(channel)s (yes or no)", channel=channel_label(one))) for one in channels]
    return _("Consent"), [(f"{before}consents.{one}", label) for one, label in told]


def _label(name: str) -> str:
    text = _(LABELS[name]) if name in LABELS else field_label(name)
    return text[:1].upper() + text[1:].replace("_", " ")


def _identity_label(kind: str) -> str:
    return _("%(kind)s account", kind=MESSENGERS.get(kind, kind))
