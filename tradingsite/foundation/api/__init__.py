"""JSON API conventions: problems, authentication, roles, throttles, ETags, idempotency keys, pagination, base views."""
