"""FHIR R4: a referral as a ServiceRequest, and a Task for each receiver, as Gravity's closed loop has them."""
