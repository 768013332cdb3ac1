"""Who belongs: rule tree, compiler to SQL, counts and members, uploaded audiences.

A rule is JSON (RULES.md) and is passed as JSON. Refusals are `runtime.errors.Invalid`, one Problem per culprit with its
JSON path. What others call:

`segments.context`   `context_at(now, settings) -> EvaluationContext`; `EvaluationContext(now, timezone)`
`segments.engine`    `await count(conn, rule, context, salesperson=None) -> int`
                     `await members(conn, rule, context, cursor=None, limit=100, salesperson=None) -> Page(items, next)`
                     `await sample(conn, rule, context, size=10, salesperson=None) -> list[Person]`
                     `await explain(conn, rule, context, customer_id, salesperson=None) -> Explanation(member, conditions)`
                     `await freeze_select(conn, rule, context, exclude=()) -> SELECT customers.id …`
                     `await record_condition(conn, rule, context, "appliances") -> condition on those records, or None`
`segments.store`     `create_segment`, `update_segment`, `delete_segment`, `segment`, `segments_page`, `check_rule`, `expand`
`segments.audiences` `create_audience`, `audience`, `audiences_page`
`segments.bucket`    `bucket(prefix, id) -> int` and `bucket_sql(prefix, column)`, 0 to 9,999
`segments.words`     `rule_in_words(rule, language, names) -> str`
`segments.catalogue` `await catalogue(conn) -> fields, operators, sources`; `await suggest(conn, source, field, prefix)`
"""
