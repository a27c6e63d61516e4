"""The whole system as a model: real repositories on a real Postgres, stopped, killed and lied to between any two calls.

``process``   runs a use case of the product and stops it before everything it does outside of itself
``calls``     the exchanges with Postgres and AWS before which it stops, and what becomes of them
``states``    Step Functions, as far as ``infra/stack/pairing.asl.json`` needs it: reads that file
``whatsapp``  engines, phones and what they may do to each other
``system``    all of them together, with one clock
``promises``  what must hold after every step, and at the end
``machine``   the rules that hypothesis calls in any order

``test_model`` looks for long stories; ``test_each_call`` lets each call of two stories meet each fault.
"""
