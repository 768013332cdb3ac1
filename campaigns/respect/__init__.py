"""Respect for the recipient: the workspace's contact rules, asked when a run is frozen and again while it is sent.

`rules` the set-up · `clocks` each recipient's own clock · `quiet` quiet hours · `periods` calendar days, weeks, months
`caps` frequency caps · `service` open service cases · `holdouts` who gets nothing for comparison
`wishes` what people asked for themselves · `household` one message a household
`judging` all of them in the freezing statement · `underway` while a batch is sent
"""
