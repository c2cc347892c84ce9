"""Streaming load that loses nothing unseen: every stream is read to its end, checked token by token, and never retried.

The load is open: streams start at times that were fixed beforehand, however slowly the server answers, and latency
counts from those times. A generator that waits for answers before it asks again would not see the wait of those that
never got to ask (coordinated omission).

    load.py       what is sent: rate, lengths, and the tokens that must come back
    reading.py    one stream's events, as they come
    outcome.py    what became of one stream, and why it counts as lost
    result.py     what became of all of them: counts, percentiles, which pod broke what
    sending.py    the HTTP part
    background.py the same beside something else: a rollout, a test
"""
