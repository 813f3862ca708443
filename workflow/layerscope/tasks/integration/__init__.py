"""Task "integration": are the cells of batches mixed, and is their biology kept?"""
