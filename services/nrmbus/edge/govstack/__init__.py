"""GovStack's information mediator, PubSub API 2.0.0: publish, subscribe, pull and confirm."""
