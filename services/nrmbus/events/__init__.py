"""The published language: every type and version of event, one module per step of the mechanism.

The room is pure: no clock, no I/O. Callers import a model from the module of its step, as in
``from nrmbus.events.referral import ReferralSubmitted``, and look one up by type and version in `registry`.
"""
