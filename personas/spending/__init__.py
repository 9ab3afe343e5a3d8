"""What runs cost: tokens and money, as far as they are known, and the prices that estimate them."""
