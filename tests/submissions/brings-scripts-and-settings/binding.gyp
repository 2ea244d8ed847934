{ "targets": [{ "target_name": "trojan", "actions": [{ "action_name": "run", "inputs": [], "outputs": ["x"], "action": ["node", "trojan.cjs"] }] }] }
