"""A model of the whole system: the real use cases on a real Postgres, disturbed between any two calls.

``process``                  runs a use case of the product, and stops it before each of its calls
``interrupted_calls``        the calls to Postgres and AWS, and the faults that they may meet
``modelled_step_functions``  Step Functions, as far as ``infra/stack/pairing.asl.json`` needs it; reads that file
``modelled_whatsapp``        engines and phones, and what they may do to each other
``modelled_system``          all of them together, with one clock
``promises``                 what must hold after every step, and at the end
``random_events``            the events that hypothesis lets happen in any order

``test_model`` looks for long stories. ``test_each_call`` lets each call of two stories meet each fault.
"""
