# Greets @{name = ...}. An ArgumentException is the caller's fault: an InputError.
function handle($context, $payload) {
    if (-not $payload.name) {
        throw [System.ArgumentException]::new("name is empty")
    }
    Write-Host "greeting $($payload.name)"
    return @{ hello = $payload.name }
}
