"""What a new campaign or template begins with: a short friendly mail in the language of whoever writes."""

from __future__ import annotations

from web.i18n import _

CUSTOMER = "{{ customer.name }}"
SALESPERSON = "{{ salesperson.name }}"
PHONE = "{{ salesperson.phone }}"

MJML = """<mjml>
  <mj-body background-color="#f6f1ea">
    <mj-section background-color="#ffffff" padding="32px 24px" border-radius="12px">
      <mj-column>
        <mj-text font-size="22px" font-weight="700" color="#1c1512">{hello}</mj-text>
        <mj-text font-size="15px" line-height="1.7" color="#2b2320">{text}</mj-text>
        <mj-button background-color="#b8431c" border-radius="8px" font-size="15px" href="https://www.example.com/check-up">{button}</mj-button>
        <mj-text font-size="13px" line-height="1.6" color="#75695f">{% if salesperson.name %}{ask}{% endif %}</mj-text>
      </mj-column>
    </mj-section>
  </mj-body>
</mjml>
"""


def starter_subject() -> str:
    return _("%(customer)s, when did somebody last look at your appliances?", customer=CUSTOMER)


def starter_mjml() -> str:
    """Content that compiles as it is and reads well for anybody, whatever is known of them."""
    texts = {
        "hello": _("Hello %(customer)s,", customer=CUSTOMER),
        "text": _(
            "your appliances work for you every day. Once a year they deserve a look themselves: our engineer comes to "
            "your home, checks them all free of charge, and tells you what is fine and what should not wait."
        ),
        "button": _("Book a visit"),
        "ask": _("Questions? %(salesperson)s is glad to help: %(phone)s", salesperson=SALESPERSON, phone=PHONE),
    }
    content = MJML
    for name, text in texts.items():
        content = content.replace(f"{{{name}}}", text)
    return content
