"""What comes back to a return path: bounces, complaints, automatic answers and replies, told apart.

`parts`: the MIME structure, read with bounded work whatever stands there. `delivery`: RFC 3464 reports. `freeform`:
bounces in a server's own words. `feedback`: complaints (RFC 5965). `automatic`: answers that nobody wrote.
`classes`: what a failure means. `reading`: one mail to one `Returned`. Everything here is a pure function.
"""

from channels.email.returns.classes import BounceClass, bounce_class
from channels.email.returns.reading import Returned, ReturnKind, is_mail, read_return

__all__ = ["BounceClass", "ReturnKind", "Returned", "bounce_class", "is_mail", "read_return"]
