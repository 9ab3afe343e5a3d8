"""What patches mean to each other though their texts fit: a name that one of them removes and another one uses."""
