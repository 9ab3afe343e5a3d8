"""What bounds runs besides their attempts: budgets in money, tokens or runs, and the quotas of services."""
