"""One run's processes as a scheduler sees them: started, waited for, their mail sent, and cleaned up."""
