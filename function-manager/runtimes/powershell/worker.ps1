# Serves one function of PowerShell: worker.ps1 SOURCE IMAGE HANDLER (function-manager/README.md, Runtime).
#
# Speaks frames (4 bytes of length, big-endian, and JSON) on descriptor 3. HANDLER is file.ps1::function; when it is
# empty, `handle` of the only .ps1 file.
param([string]$Source, [string]$Image, [string]$Handler)

$DispatchWorker = @{
    Utf8   = [System.Text.UTF8Encoding]::new($false)
    Socket = [System.Net.Sockets.Socket]::new([System.Net.Sockets.SafeSocketHandle]::new([IntPtr]3, $true))
    Read   = @{ Depth = 100; NoEnumerate = $true }
}
# Before 7.5 a text that looks like a time becomes one.
if ((Get-Command ConvertFrom-Json).Parameters.ContainsKey('DateKind')) { $DispatchWorker.Read.DateKind = 'String' }

function Send-DispatchFrame([string]$Text) {
    $body = $DispatchWorker.Utf8.GetBytes($Text)
    $header = [BitConverter]::GetBytes([Net.IPAddress]::HostToNetworkOrder([int]$body.Length))
    foreach ($part in $header, $body) {
        for ($sent = 0; $sent -lt $part.Length; ) {
            $sent += $DispatchWorker.Socket.Send($part, $sent, $part.Length - $sent, 'None')
        }
    }
}

function Read-DispatchBytes([int]$Size) {
    $bytes = [byte[]]::new($Size)
    for ($have = 0; $have -lt $Size; ) {
        $more = $DispatchWorker.Socket.Receive($bytes, $have, $Size - $have, 'None')
        if ($more -eq 0) { return $null }
        $have += $more
    }
    return , $bytes
}

function Read-DispatchFrame {
    $header = Read-DispatchBytes 4
    if ($null -eq $header) { return $null }
    $size = [Net.IPAddress]::NetworkToHostOrder([BitConverter]::ToInt32($header, 0))
    $body = Read-DispatchBytes $size
    if ($null -eq $body) { return $null }
    return $DispatchWorker.Utf8.GetString($body)
}

function Get-DispatchError([string]$Type, $ErrorRecord) {
    $lines = @($ErrorRecord.ScriptStackTrace -split "`n" | Where-Object { $_ -and $_ -notmatch 'worker\.ps1' })
    $message = [string]$ErrorRecord.Exception.Message
    return [ordered]@{ type = $Type; message = $message; stacktrace = $lines }
}

function Invoke-DispatchHandler($Name, $Context, $Payload) {
    try {
        $result = & $Name $Context $Payload
    } catch [System.ArgumentException] {
        return @{ error = Get-DispatchError 'InputError' $_ } | ConvertTo-Json -Depth 5 -Compress
    } catch {
        return @{ error = Get-DispatchError 'FunctionError' $_ } | ConvertTo-Json -Depth 5 -Compress
    }
    try {
        $text = ConvertTo-Json -InputObject $result -Depth 100 -Compress -WarningAction Stop -ErrorAction Stop
        return '{"payload":' + $text + '}'
    } catch {
        $message = "the function's answer is no JSON: $($_.Exception.Message)"
        return @{ error = @{ type = 'FunctionError'; message = $message; stacktrace = @() } } |
            ConvertTo-Json -Depth 5 -Compress
    }
}

function Find-DispatchHandler {
    $file, $name = $Handler -split '::', 2
    if (-not $Handler) {
        $files = @(Get-ChildItem -LiteralPath $Source -Filter '*.ps1' -File)
        if ($files.Count -ne 1) {
            throw "the handler is not given and the source has $($files.Count) .ps1 files: name it as file.ps1::function"
        }
        $file, $name = $files[0].Name, 'handle'
    }
    if (-not $name) { throw "the handler '$Handler' is not of the form file.ps1::function" }
    $path = Join-Path $Source $file
    if (-not (Test-Path -LiteralPath $path -PathType Leaf)) { throw "the source has no file '$file'" }
    $DispatchWorker.File, $DispatchWorker.Name = $path, $name
}

Send-DispatchFrame '{"hello":true}'
try {
    if ($Image) { $env:PSModulePath = (Join-Path $Image 'modules') + ':' + $env:PSModulePath }
    Find-DispatchHandler
    . $DispatchWorker.File
    $DispatchWorker.Function = Get-Command -Name $DispatchWorker.Name -CommandType Function -ErrorAction SilentlyContinue
    if ($null -eq $DispatchWorker.Function) {
        throw "$(Split-Path -Leaf $DispatchWorker.File) has no function '$($DispatchWorker.Name)'"
    }
    if ($DispatchWorker.Function.ScriptBlock.Ast.Body.ParamBlock) {
        $DispatchWorker.Count = $DispatchWorker.Function.ScriptBlock.Ast.Body.ParamBlock.Parameters.Count
    } else {
        $DispatchWorker.Count = @($DispatchWorker.Function.ScriptBlock.Ast.Parameters).Count
    }
    if ($DispatchWorker.Count -ne 2) {
        throw "$($DispatchWorker.Name) takes $($DispatchWorker.Count) arguments instead of 2: (`$context, `$payload)"
    }
} catch {
    Send-DispatchFrame (@{ failed = Get-DispatchError 'FunctionError' $_ } | ConvertTo-Json -Depth 5 -Compress)
    exit 0
}
Send-DispatchFrame '{"ready":true}'
while ($null -ne ($DispatchWorker.Text = Read-DispatchFrame)) {
    $DispatchWorker.Options = $DispatchWorker.Read
    $DispatchWorker.Request = & {
        $options = $DispatchWorker.Options
        ConvertFrom-Json -InputObject $DispatchWorker.Text @options
    }
    Send-DispatchFrame (
        Invoke-DispatchHandler $DispatchWorker.Function $DispatchWorker.Request.context $DispatchWorker.Request.payload)
}
