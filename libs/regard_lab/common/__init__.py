"""What every room of the lab uses: errors, atomic files, the machine, formatting, strict YAML."""
