"""What every room of the lab needs: errors, atomic files, the machine, formatting, strict YAML."""
