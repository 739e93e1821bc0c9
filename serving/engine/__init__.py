"""The policy engine: where the policy comes from, what computes its answers, and the BentoML service around it."""
