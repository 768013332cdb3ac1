"""Who belongs: rule tree, compiler to SQL, counts and members, uploaded audiences.

A rule is JSON (RULES.md) and is passed as JSON. Refusals are `runtime.errors.Invalid`, one Problem per culprit with its
JSON path in the rule. What others call:

segments.context     context_at(now, settings) -> EvaluationContext(now, timezone)
segments.engine      await count(conn, rule, context, salesperson=None) -> int
                     await members(conn, rule, context, cursor=None, limit=100, salesperson=None) -> Page(items, next)
                     await sample(conn, rule, context, size=10, salesperson=None) -> list[Person]
                     await explain(conn, rule, context, customer_id, salesperson=None) -> Explanation
                     await members_among(conn, rule, context, ids, salesperson=None) -> SELECT customers.id of those of
                         `ids` (numbers, or a SELECT) who belong; await belonging(…the same…) -> set[int]
                     await prepare(conn, rule, context) -> Prepared, which every verb takes in the place of a rule
                     limited(conn, prepared): the time limit of statements over a rule with patterns
                     await expand(conn, rule) -> the rule with nested segments written out
                     await freeze_select(conn, rule, context, exclude=()) -> SELECT customers.id …
                     await record_condition(conn, rule, context, "appliances") -> condition on those records | None
segments.looking     await estimate(conn, rule, context) -> Estimate(count, low, high, sampled, exact)
                     await funnel(conn, rule, context) -> Funnel(everyone, count, steps)
                     await overlap(conn, a, b, context) -> Overlap(only_a, both, only_b)
segments.store       create_segment, update_segment, delete_segment, segment, segment_rows, segment_of, check_rule
segments.standing    await evaluate(conn, segment_id, context) -> Evaluated: who belongs, kept in segment_members
segments.refresh     await refresh_soon(conn, segment_id): the same by a job; ticks find what is due
segments.feed        await position(conn, segment_id), changes(conn, segment_id, position) -> Changes(items, position,
                     more): who entered and left; history(conn, segment_id) -> [Size a day]
segments.forecast    await forecast(conn, rule, context, days=30) -> Forecast(days=[Day(day, entered, left)])
segments.uses        register_segment_users(room, users), register_audience_users(room, users): who else uses a segment
                     or a list, asked before it is deleted; await audience_users(conn, id) -> list[Use(kind, id, name)]
segments.audiences   create_audience, create_from_upload, enqueue_audience, look_again, rename_audience,
                     delete_audience, audience, audience_rows, audience_of, reasons
segments.found       await try_lines(conn, lines) -> what would become of them; the statements of the matching
segments.ready_made  await ready_made(conn, today) -> [ReadyMade(code, intention, parameters, rule, name, …)],
                     written(conn, code, parameters) -> one of them; recipes are data in segments.recipes
segments.lately      await moved_since(conn, segment_ids, day) -> {id: Moves(entered, left)}
segments.bucket      bucket(prefix, id) -> int, bucket_sql(prefix, column): 0 to 9,999
segments.words       rule_in_words(rule, language, names) -> str
segments.suggestions  await suggest(conn, source, field, prefix) -> the commonest values with counts
"""
