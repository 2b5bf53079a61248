"""nrmbus: agencies hand a person's case to one another, by the steps of the National Referral Mechanism."""
